-- A database as Adobe Campaign Classic v7 makes it on PostgreSQL: names unquoted, no primary keys
-- but unique indexes, numbers never null, a row with key 0 in each table that draws its own keys,
-- no foreign keys, keys drawn by functions of the application.

create sequence XtkNewId start with 1000 maxvalue 2147483646 cycle;
create sequence NmsRecipientId start with 1000 maxvalue 2147483646 cycle;

create function GetNewId() returns integer language sql volatile as
$$ select nextval('XtkNewId')::integer $$;

create function GetNewIds(iCount integer) returns varchar language sql volatile as
$$ select string_agg(nextval('XtkNewId')::varchar, ',') from generate_series(1, iCount) $$;

create function GetNewNmsRecipientIds(iCount integer) returns varchar language sql volatile as
$$ select string_agg(nextval('NmsRecipientId')::varchar, ',') from generate_series(1, iCount) $$;

create table XtkFolder (
    iFolderId integer not null default 0,
    iParentId integer not null default 0,
    sFullName varchar(255),
    sLabel varchar(128),
    sModel varchar(64),
    sName varchar(64),
    tsCreated timestamptz,
    tsLastModified timestamptz
);
create unique index XtkFolder_id on XtkFolder (iFolderId);
create unique index XtkFolder_name on XtkFolder (sName);
create unique index XtkFolder_fullName on XtkFolder (sFullName);
create index XtkFolder_parentId on XtkFolder (iParentId);
insert into XtkFolder (iFolderId) values (0);
insert into XtkFolder (iFolderId, sFullName, sLabel, sModel, sName, tsCreated, tsLastModified)
values (1182, '/Profiles and Targets/Recipients/', 'Recipients', 'nmsFolder', 'nmsRootRecipient', now(), now());

create function DefaultFolder(sFolderModel varchar) returns integer language sql stable as
$$ select coalesce(min(iFolderId), 0) from XtkFolder where sModel = sFolderModel $$;

create table NmsRecipient (
    iAddrErrorCount integer not null default 0,
    iAddrQuality integer not null default 0,
    iBlackList smallint not null default 0,
    iBlackListEmail smallint not null default 0,
    iBlackListFax smallint not null default 0,
    iBlackListMobile smallint not null default 0,
    iBlackListPhone smallint not null default 0,
    iBlackListPostalMail smallint not null default 0,
    iBoolean1 smallint not null default 0,
    iBoolean2 smallint not null default 0,
    iBoolean3 smallint not null default 0,
    iEmailFormat smallint not null default 0,
    iFolderId integer not null default 0,
    iGender smallint not null default 0,
    iRecipientId integer not null default 0,
    iStatus smallint not null default 0,
    mData text,
    sAccount varchar(30),
    sAddress1 varchar(80),
    sAddress2 varchar(80),
    sAddress3 varchar(80),
    sAddress4 varchar(80),
    sCity varchar(75),
    sCompany varchar(80),
    sCountryCode varchar(3),
    sEmail varchar(128),
    sFax varchar(32),
    sFirstName varchar(30),
    sLanguage varchar(32),
    sLastName varchar(50),
    sMiddleName varchar(30),
    sMobilePhone varchar(32),
    sOrigin varchar(80),
    sPhone varchar(32),
    sSalutation varchar(20),
    sStateCode varchar(3),
    sText1 varchar(180),
    sText2 varchar(180),
    sText3 varchar(180),
    sText4 varchar(180),
    sText5 varchar(180),
    sZipCode varchar(20),
    tsAddrLastCheck timestamptz,
    tsBirth date,
    tsCreated timestamptz,
    tsLastModified timestamptz,
    -- Added later by an extension of the schema, so they come last.
    iAccountId integer not null default 0,
    sMember varchar(40)
);
create unique index NmsRecipient_id on NmsRecipient (iRecipientId);
create index NmsRecipient_email2 on NmsRecipient (sEmail);
create index NmsRecipient_names on NmsRecipient (sLastName, sFirstName);
create index NmsRecipient_folderEmail on NmsRecipient (iFolderId, sEmail);
create index NmsRecipient_folderModified on NmsRecipient (iFolderId, tsLastModified);
create index NmsRecipient_folderAccount on NmsRecipient (iFolderId, sAccount);
create index NmsRecipient_folderLastName on NmsRecipient (iFolderId, sLastName);
create index NmsRecipient_folderMobile on NmsRecipient (iFolderId, sMobilePhone);
create index NmsRecipient_folderOrigin on NmsRecipient (iFolderId, sOrigin);
create index NmsRecipient_accountId on NmsRecipient (iAccountId);
create unique index NmsRecipient_member on NmsRecipient (sMember) where sMember <> '';
insert into NmsRecipient (iRecipientId) values (0);

create table CusAccount (
    dScore double precision not null default 0,
    iCreatedById integer not null default 0,
    iCusAccountId integer not null default 0,
    iModifiedById integer not null default 0,
    mData text,
    sCity varchar(75),
    sName varchar(160),
    sPhone varchar(32),
    tsCreated timestamptz,
    tsLastModified timestamptz
);
create unique index CusAccount_id on CusAccount (iCusAccountId);
create index CusAccount_name on CusAccount (sName);
insert into CusAccount (iCusAccountId) values (0);

create table XtkOption (
    dDoubleValue double precision not null default 0,
    iDataType smallint not null default 0,
    iLongValue integer not null default 0,
    iOptionId integer not null default 0,
    mMemoValue text,
    sDesc varchar(255),
    sName varchar(128),
    sStringValue varchar(255),
    tsCreated timestamptz,
    tsLastModified timestamptz,
    tsTimeStampValue timestamptz
);
create unique index XtkOption_id on XtkOption (iOptionId);
create unique index XtkOption_name on XtkOption (sName);
insert into XtkOption (iOptionId) values (0);
insert into XtkOption (iOptionId, sName, iDataType, sStringValue, iLongValue, tsCreated, tsLastModified)
values
    (GetNewId(), 'XtkDatabaseId', 6, 'uFE' || upper(md5(random()::varchar)), 0, now(), now()),
    (GetNewId(), 'WdbcUseTimeStampWithTZ', 3, null, 1, now(), now()),
    (GetNewId(), 'WdbcTimeZone', 6, 'Europe/Paris', 0, now(), now());

create table XtkEnum (
    iAliases smallint not null default 0,
    iEnumId integer not null default 0,
    iType smallint not null default 0,
    sLabel varchar(128),
    sName varchar(128),
    tsCreated timestamptz,
    tsLastAliasCleansing timestamptz,
    tsLastModified timestamptz
);
create unique index XtkEnum_id on XtkEnum (iEnumId);
create unique index XtkEnum_name on XtkEnum (sName);
insert into XtkEnum (iEnumId) values (0);

create table XtkEnumValue (
    iEnumId integer not null default 0,
    iValueId integer not null default 0,
    sImg varchar(128),
    sLabel varchar(255),
    sName varchar(64),
    tsLastModified timestamptz
);
create unique index XtkEnumValue_id on XtkEnumValue (iValueId);
create unique index XtkEnumValue_name on XtkEnumValue (iEnumId, sName);
insert into XtkEnumValue (iValueId) values (0);

insert into XtkEnum (iEnumId, sName, sLabel, tsCreated, tsLastModified)
values (GetNewId(), 'nmsOrigin', 'Origin of a profile', now(), now());
insert into XtkEnumValue (iValueId, iEnumId, sName, sLabel, tsLastModified)
select GetNewId(), iEnumId, v.sName, v.sLabel, now()
from XtkEnum, (values ('web', 'Web form'), ('fair', 'Trade fair'), ('partner', 'Partner')) as v (sName, sLabel)
where XtkEnum.sName = 'nmsOrigin';
